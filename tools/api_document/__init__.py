"""Generates the API's OpenAPI document from the code.

Routes and descriptions come from the handlers, request bodies from the models that read them,
response bodies from ``dispatcher.responses``, problems from the HTTP edge and the template. Only
statuses and parameters (``declared.yaml``) and examples (``examples.yaml``) are declared here;
tests compare all of them with the service's real responses.
"""

"""Generates the API's OpenAPI document from the code.

Routes and descriptions come from the handlers, request bodies from the models that read them,
response bodies from ``dispatcher.responses``, problems from the HTTP edge and the template. Only
examples, statuses and parameters are declared here, in ``operations``; tests compare both with the
service's real responses.
"""

"""Writes the API's OpenAPI document from what the code says about itself.

Routes and summaries come from the handlers, bodies from the models that read them, problems from
the HTTP edge and from the template. What no code can say is in ``operations`` (examples, which
answer has which status) and ``answers`` (the shapes that go out); tests hold both to what the
service really answers.
"""

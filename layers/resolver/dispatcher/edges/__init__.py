"""The edges: API Gateway, SQS batches and the authorizer become calls of one use case each."""

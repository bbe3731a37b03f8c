"""The real world behind the ports: DynamoDB, SQS, KMS, clock, randomness and log."""

"""An environment that is fit for production; each test changes what it is about. Nothing listens at its addresses."""

PRODUCTION = {
    "MASTERY_ENV": "production",
    "MASTERY_JWT_SECRET": "a-real-secret-of-at-least-32-bytes",
    "MASTERY_AUDIT_KEY": "another-real-secret-of-32-bytes-too",
    "MASTERY_FLOWER_PASSWORD": "a password of 15 characters",
    "MASTERY_REDIS_URL": "rediss://127.0.0.1:1/0",
    "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:2",
}

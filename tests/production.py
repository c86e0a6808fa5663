"""A valid production environment; each test changes what it tests. Nothing listens at its addresses."""

from hashlib import sha256

PRODUCTION = {
    "MASTERY_ENV": "production",
    "MASTERY_JWT_SECRET": sha256(b"tokens").hexdigest(),  # random, but the same in every run
    "MASTERY_AUDIT_KEY": sha256(b"trail").hexdigest(),
    "MASTERY_FLOWER_PASSWORD": "correct horse battery staple",
    "MASTERY_REDIS_URL": "rediss://127.0.0.1:1/0",
    "MASTERY_KAFKA_BOOTSTRAP": "127.0.0.1:2",
}

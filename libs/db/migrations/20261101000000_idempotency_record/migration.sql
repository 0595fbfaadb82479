-- What a POST with an Idempotency-Key answered, kept for a day so that the same request gets the same answer (src/idempotency.ts).
-- Not partitioned: rows are short-lived and found by key alone, so they are deleted in batches.
CREATE TABLE idempotency_record (
  tenant_id    uuid        NOT NULL,
  operation    text        NOT NULL,
  key          text        NOT NULL,
  -- SHA-256 of the request: another request under the same key is refused.
  request_hash bytea       NOT NULL,
  -- Whatever the service answers with, encoded by it; sealed by it when a secret is shown once.
  response     bytea       NOT NULL,
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  CONSTRAINT idempotency_record_pkey PRIMARY KEY (tenant_id, operation, key)
);

CREATE INDEX idempotency_record_expires_at_idx ON idempotency_record (expires_at);

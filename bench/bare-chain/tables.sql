-- The tables that an accepted message is written to, as the platform's migrations made them when this yardstick was built, one partition each.

CREATE TABLE message (
  id            uuid NOT NULL,
  tenant_id     uuid NOT NULL,
  batch_id      uuid,
  status        smallint NOT NULL,
  status_counts smallint[] NOT NULL,
  from_email    text NOT NULL,
  from_name     text NOT NULL,
  reply_to      jsonb NOT NULL,
  subject       text NOT NULL,
  tags          jsonb NOT NULL,
  metadata      jsonb NOT NULL,
  send_at       timestamptz(3),
  size_bytes    integer NOT NULL,
  captured      boolean NOT NULL,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE INDEX message_tenant_id_id_idx ON message (tenant_id, id);

CREATE TABLE recipient (
  message_id      uuid NOT NULL,
  number          smallint NOT NULL,
  tenant_id       uuid NOT NULL,
  kind            smallint NOT NULL,
  email           text NOT NULL,
  name            text NOT NULL,
  status          smallint NOT NULL,
  attempts        smallint NOT NULL,
  next_attempt_at timestamptz(3),
  bounce          bytea,
  PRIMARY KEY (message_id, number)
) PARTITION BY RANGE (message_id);

CREATE TABLE content (
  message_id uuid NOT NULL,
  chunk      smallint NOT NULL,
  tenant_id  uuid NOT NULL,
  last       boolean NOT NULL,
  data       bytea NOT NULL,
  PRIMARY KEY (message_id, chunk)
) PARTITION BY RANGE (message_id);

ALTER TABLE content ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE SEQUENCE outbox_serial CACHE 1;

CREATE TABLE outbox (
  id uuid NOT NULL,
  serial bigint NOT NULL DEFAULT CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('outbox_serial') END,
  topic text NOT NULL,
  shard smallint NOT NULL,
  key text NOT NULL,
  payload bytea NOT NULL,
  traceparent text NOT NULL,
  position bigint,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);

ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE INDEX outbox_unsequenced ON outbox (serial) WHERE position IS NULL;
CREATE INDEX outbox_log ON outbox (topic, shard, position) WHERE position IS NOT NULL;

CREATE TABLE message_all PARTITION OF message DEFAULT;
CREATE TABLE recipient_all PARTITION OF recipient DEFAULT;
CREATE TABLE content_all PARTITION OF content DEFAULT;
CREATE TABLE outbox_all PARTITION OF outbox DEFAULT;

-- The tables of messaging, each partitioned by the message's UUIDv7, so that a day's messages with all that belongs to them are dropped as
-- a whole when their retention ends. jobs/partitions.ts makes the partitions, seven days ahead.
-- No foreign keys: all rows of a message are written in one transaction and dropped by the day, and each key would cost a look-up per row.
-- No enum types: an old client throws on a new value.

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

-- Lists: a tenant's messages, newest first. Filters look at the rows this index gives, up to a bound; accepting pays for no other index.
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

-- The bytes are zstd already: PostgreSQL's own compression would cost ten times the insert and gain nothing.
ALTER TABLE content ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE message_event (
  message_id       uuid NOT NULL,
  recipient_number smallint NOT NULL,
  attempt          smallint NOT NULL,
  type             text NOT NULL,
  id               uuid NOT NULL,
  tenant_id        uuid NOT NULL,
  at               timestamptz(3) NOT NULL,
  detail           bytea NOT NULL,
  PRIMARY KEY (message_id, recipient_number, attempt, type)
) PARTITION BY RANGE (message_id);

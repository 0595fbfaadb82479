-- The outbox of a service: what its transactions want told. Rows get their position after commit, from the one sequencer that holds
-- their shard; a sequenced row is a record of the PostgreSQL log. Written by libs/events, lives in the producing service's schema.

-- One value at a time (no CACHE): the sequencer's lower bound relies on every value up to the last one having been handed out.
CREATE SEQUENCE outbox_serial CACHE 1;

CREATE TABLE outbox (
  -- UUIDv7: the event's id, and the time by which the table is partitioned and dropped.
  id uuid NOT NULL,
  -- Order of insertion. The CASE makes a transaction take its xid before its first serial (sequencer.ts, "lower bound").
  serial bigint NOT NULL DEFAULT CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('outbox_serial') END,
  topic text NOT NULL,
  -- The topic's partition, from 0.
  shard smallint NOT NULL,
  key text NOT NULL,
  payload bytea NOT NULL,
  -- W3C trace context of the producer span; empty = none.
  traceparent text NOT NULL,
  -- In the topic's partition, from 1, without gaps; NULL until sequenced.
  position bigint,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);

-- Compressing a few hundred bytes of protobuf costs more than it saves.
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE INDEX outbox_unsequenced ON outbox (serial) WHERE position IS NULL;
CREATE INDEX outbox_log ON outbox (topic, shard, position) WHERE position IS NOT NULL;

-- Who may give positions, per shard. Changes when a lease is renewed or moves, not per pass.
CREATE TABLE outbox_shard (
  shard smallint PRIMARY KEY,
  holder uuid,
  -- Which process that is, so that the lease of one that has died on this machine needs no waiting.
  machine text NOT NULL DEFAULT '',
  pid integer NOT NULL DEFAULT 0,
  expires_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

INSERT INTO outbox_shard (shard) SELECT generate_series(0, 15);

-- The last position of each partition as of a few seconds ago. The rows tell it exactly; this remembers it when they were dropped.
CREATE TABLE outbox_head (
  topic text NOT NULL,
  shard smallint NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (topic, shard)
) WITH (fillfactor = 50);

-- Where events go through Kafka: what the holder of a shard remembers of publishing its sequenced rows.

-- The last position of each partition that Kafka has acknowledged, as of a moment ago: after a crash some records are published again.
CREATE TABLE outbox_published (
  topic text NOT NULL,
  shard smallint NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (topic, shard)
) WITH (fillfactor = 50);

-- Rows that Kafka refused for good. Their shard has gone on without them; somebody has to look.
CREATE TABLE outbox_refused (
  id uuid PRIMARY KEY,
  topic text NOT NULL,
  shard smallint NOT NULL,
  position bigint NOT NULL,
  key text NOT NULL,
  payload bytea NOT NULL,
  traceparent text NOT NULL,
  error text NOT NULL,
  refused_at timestamptz NOT NULL DEFAULT now()
);

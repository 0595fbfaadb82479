-- The tenants' feed: all events of a tenant in one order. Whoever inserts events writes what they are into feed_pending, in the same
-- transaction; after its commit jobs/feed-sequencer.ts moves it to feed, where it has its position. A position taken inside the writers'
-- transactions would be skipped by a reader who came between a later commit and an earlier one.

-- What was told and has no position yet: one row per transaction and tenant. It lives for milliseconds.
CREATE TABLE feed_pending (
  -- In the order in which it was told; see store/feed.ts.
  serial    bigint NOT NULL,
  tenant_id uuid NOT NULL,
  -- How many events.
  size      smallint NOT NULL,
  -- Which events, 21 bytes each (feed.ts): at most 90, so that a row stays on its page.
  entries   bytea NOT NULL,
  PRIMARY KEY (serial)
);

-- One value at a time (no CACHE): the order in which values are taken is the order in which transactions about one message follow each other.
CREATE SEQUENCE feed_serial CACHE 1;

-- Partitioned by time and dropped after 30 days; jobs/partitions.ts makes the partitions.
CREATE TABLE feed (
  tenant_id uuid NOT NULL,
  -- The position of the last of its events; the first one's is last_seq - size + 1.
  last_seq  bigint NOT NULL,
  -- The time that is in last_seq.
  at        timestamptz(3) NOT NULL,
  size      smallint NOT NULL,
  entries   bytea NOT NULL,
  PRIMARY KEY (tenant_id, last_seq, at)
) PARTITION BY RANGE (at);

-- Ids without repetition: compressing them costs time and gains nothing.
ALTER TABLE feed_pending ALTER COLUMN entries SET STORAGE EXTERNAL;
ALTER TABLE feed ALTER COLUMN entries SET STORAGE EXTERNAL;

-- The last position given. A sequence and no row: a row that changes in every pass leaves a dead version each time.
CREATE SEQUENCE feed_seq CACHE 1;

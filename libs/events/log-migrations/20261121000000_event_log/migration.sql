-- What the PostgreSQL log remembers of its consumers. One schema for all services, as a broker would.

-- Members of a group that share a topic's partitions. A member that did not renew in time is deleted by the others and never comes
-- back under its id; only then may its partitions be taken.
CREATE TABLE member (
  member uuid PRIMARY KEY,
  group_name text NOT NULL,
  topic text NOT NULL,
  machine text NOT NULL,
  pid integer NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX member_group ON member (group_name, topic);

-- How far a group has come, and who reads for it. `position` is the last one handled; 0 = nothing yet.
CREATE TABLE subscription (
  group_name text NOT NULL,
  topic text NOT NULL,
  partition smallint NOT NULL,
  position bigint NOT NULL DEFAULT 0,
  owner uuid,
  PRIMARY KEY (group_name, topic, partition)
) WITH (fillfactor = 50);

-- Records that a group could not read or that its handler refused. A group goes on behind them; somebody has to look.
CREATE TABLE parked (
  group_name text NOT NULL,
  topic text NOT NULL,
  partition smallint NOT NULL,
  position bigint NOT NULL,
  event_id uuid NOT NULL,
  key text NOT NULL,
  payload bytea NOT NULL,
  traceparent text NOT NULL,
  -- unreadable: could not be decoded, or says what this version doesn't know · refused: the handler threw for it alone
  reason text NOT NULL,
  error text NOT NULL,
  attempts integer NOT NULL,
  parked_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (group_name, topic, partition, position)
);

-- Callbacks: where a tenant is told of its events, what waits to be told, and what was tried.

-- Events that are about no message. Partitioned by their own id, dropped with the feed.
CREATE TABLE tenant_event (
  id        uuid NOT NULL,
  tenant_id uuid NOT NULL,
  type      text NOT NULL,
  at        timestamptz(3) NOT NULL,
  -- A JSON object, as it is shown.
  data      bytea NOT NULL,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE TABLE callback (
  id              uuid NOT NULL,
  tenant_id       uuid NOT NULL,
  url             text NOT NULL,
  -- Names and prefixes; none = all.
  events          text[] NOT NULL,
  description     text NOT NULL,
  enabled         boolean NOT NULL,
  -- CallbackDisabledReason of the proto; 0 while it is enabled.
  disabled_reason smallint NOT NULL,
  disabled_at     timestamptz(3),
  created_at      timestamptz(3) NOT NULL,
  updated_at      timestamptz(3) NOT NULL,
  secret          bytea NOT NULL,
  previous_secret bytea,
  previous_until  timestamptz(3),
  -- The place in the tenant's feed up to which events are due rows, or were.
  position        bigint NOT NULL,
  -- Whose due rows are this callback's: another one from the moment at which it is disabled, so that what waited is left behind at once.
  lane            uuid NOT NULL,
  failing_since   timestamptz(3),
  paused_until    timestamptz(3),
  PRIMARY KEY (id)
) WITH (fillfactor = 70);

CREATE INDEX callback_tenant_id_id_idx ON callback (tenant_id, id);
CREATE UNIQUE INDEX callback_lane_key ON callback (lane);

-- What is to be told. Short-lived rows, deleted one by one.
CREATE TABLE callback_due (
  lane             uuid NOT NULL,
  -- The webhook-id: an event is due once.
  event_id         uuid NOT NULL,
  -- The message, or the event itself where it is about none.
  about_id         uuid NOT NULL,
  recipient_number smallint NOT NULL,
  type             text NOT NULL,
  -- A try-out: made once, and told whether the callback is enabled or not.
  test             boolean NOT NULL,
  -- Attempts that have ended.
  attempts         smallint NOT NULL,
  due_at           timestamptz(3) NOT NULL,
  -- The process that makes an attempt now.
  claimed_by       uuid,
  -- What is sent, byte for byte the same each time.
  body             bytea NOT NULL,
  PRIMARY KEY (lane, event_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX callback_due_lane_due_at_idx ON callback_due (lane, due_at) WHERE claimed_by IS NULL;
CREATE INDEX callback_due_claimed_by_idx ON callback_due (claimed_by) WHERE claimed_by IS NOT NULL;

-- Lanes that are no callback's any more; their rows are deleted bit by bit.
CREATE TABLE callback_old_lane (
  lane uuid NOT NULL,
  PRIMARY KEY (lane)
);

-- Stretches of the feed that are told again.
CREATE TABLE callback_replay (
  id          uuid NOT NULL,
  callback_id uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  position    bigint NOT NULL,
  -- The last place that belongs to it.
  until       bigint NOT NULL,
  only_failed boolean NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX callback_replay_callback_id_idx ON callback_replay (callback_id);

-- Processes of the role, by their heartbeat.
CREATE TABLE callback_worker (
  id      uuid NOT NULL,
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (id)
);

-- Partitioned by its own id, dropped by retention.
CREATE TABLE callback_attempt (
  id               uuid NOT NULL,
  callback_id      uuid NOT NULL,
  tenant_id        uuid NOT NULL,
  event_id         uuid NOT NULL,
  about_id         uuid NOT NULL,
  recipient_number smallint NOT NULL,
  type             text NOT NULL,
  number           smallint NOT NULL,
  at               timestamptz(3) NOT NULL,
  duration_ms      integer NOT NULL,
  -- CallbackOutcome of the proto.
  outcome          smallint NOT NULL,
  http_status      smallint NOT NULL,
  detail           text NOT NULL,
  next_attempt_at  timestamptz(3),
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE INDEX callback_attempt_callback_id_id_idx ON callback_attempt (callback_id, id);
CREATE INDEX callback_attempt_about_id_idx ON callback_attempt (about_id);

-- What their owners are to be told, until it is taken.
CREATE TABLE callback_notice (
  id          uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  callback_id uuid NOT NULL,
  subject     text NOT NULL,
  text        text NOT NULL,
  created_at  timestamptz(3) NOT NULL,
  PRIMARY KEY (id)
);

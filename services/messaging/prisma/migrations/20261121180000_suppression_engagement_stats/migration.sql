-- What a message is besides its content. Defaults are constants, so no row is written.
ALTER TABLE message
  ADD COLUMN stream text NOT NULL DEFAULT 'transactional',
  -- What its unsubscribe link is about, where that is not the stream.
  ADD COLUMN unsubscribe_group text,
  ADD COLUMN template_id uuid,
  ADD COLUMN pool text NOT NULL DEFAULT '',
  -- Bits: 1 opens, 2 clicks, 4 our own unsubscribe link. Not 0: each recipient gets bytes of its own (libs/mail tracking-token.ts).
  ADD COLUMN personal smallint NOT NULL DEFAULT 0;

-- Bits: 1 opened, 2 clicked, 4 complained, 8 unsubscribed.
ALTER TABLE recipient ADD COLUMN flags smallint NOT NULL DEFAULT 0;

-- Whom a tenant does not write to. The key is what accepting asks, once per recipient.
CREATE TABLE suppression (
  tenant_id  uuid NOT NULL,
  -- Lower case.
  address    text NOT NULL,
  stream     text NOT NULL,
  id         uuid NOT NULL,
  -- As it was written first.
  email      text NOT NULL,
  reason     smallint NOT NULL,
  -- The message that caused it.
  message_id uuid,
  PRIMARY KEY (tenant_id, address, stream)
);
CREATE UNIQUE INDEX suppression_tenant_id_id_key ON suppression (tenant_id, id);

-- Counts of recipients, of one day and one more dimension: StatsDimension of the proto and its value.
CREATE TABLE stat (
  tenant_id    uuid NOT NULL,
  day          date NOT NULL,
  dimension    smallint NOT NULL,
  value        text NOT NULL,
  accepted     bigint NOT NULL DEFAULT 0,
  delivered    bigint NOT NULL DEFAULT 0,
  bounced      bigint NOT NULL DEFAULT 0,
  failed       bigint NOT NULL DEFAULT 0,
  suppressed   bigint NOT NULL DEFAULT 0,
  complained   bigint NOT NULL DEFAULT 0,
  unsubscribed bigint NOT NULL DEFAULT 0,
  opened       bigint NOT NULL DEFAULT 0,
  clicked      bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, day, dimension, value)
  -- Rows of today change with every batch: room for that on their page, and nothing else is indexed.
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- What is past its retention.
CREATE INDEX stat_day_idx ON stat (day);

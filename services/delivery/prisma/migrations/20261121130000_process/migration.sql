-- Where an incarnation's process runs: others on the same machine see that it is gone before its ten seconds are over.
ALTER TABLE "incarnation" ADD COLUMN "machine" text NOT NULL DEFAULT '', ADD COLUMN "pid" integer NOT NULL DEFAULT 0;

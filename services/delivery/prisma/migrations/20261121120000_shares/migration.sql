-- Limits per destination are shared out over the incarnations that live: whom each of them has given room to, and where it still has more
-- sessions than its share.
ALTER TABLE "incarnation" ADD COLUMN "applied" uuid[] NOT NULL DEFAULT '{}', ADD COLUMN "over" jsonb NOT NULL DEFAULT '{}';

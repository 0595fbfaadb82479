-- The content has marks where each recipient's own links go. A constant default: no row is written.
ALTER TABLE "due" ADD COLUMN "personal" boolean NOT NULL DEFAULT false;

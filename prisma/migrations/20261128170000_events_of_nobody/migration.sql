-- AlterTable: how often an event without an account happened within its minute. Nodes of the previous version write
-- one row for each. Postgres adds the column without rewriting the table.
ALTER TABLE "audit_events" ADD COLUMN IF NOT EXISTS "count" INTEGER NOT NULL DEFAULT 1;

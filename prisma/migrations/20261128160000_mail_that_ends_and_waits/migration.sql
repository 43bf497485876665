-- AlterTable: when a message leaves at the earliest and is given up at the latest, and who caused it. IF NOT EXISTS, so
-- that the index below can be created CONCURRENTLY before an update.
ALTER TABLE "outbox_messages" ADD COLUMN IF NOT EXISTS "expires_at" TIMESTAMPTZ(3),
ADD COLUMN IF NOT EXISTS "scheduled_at" TIMESTAMPTZ(3),
ADD COLUMN IF NOT EXISTS "source" TEXT;

-- CreateTable
CREATE TABLE "outbox_holds" (
    "kind" TEXT NOT NULL,
    "held_until" TIMESTAMPTZ(3) NOT NULL,
    "refusals" INTEGER NOT NULL,
    "reason" TEXT NOT NULL,

    CONSTRAINT "outbox_holds_pkey" PRIMARY KEY ("kind")
);

-- CreateIndex: messages that end. Only those that wait, of which there are few.
CREATE INDEX IF NOT EXISTS "outbox_messages_expiring_idx" ON "outbox_messages"("expires_at") WHERE "sent_at" IS NULL AND "gave_up_at" IS NULL;

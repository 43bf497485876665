-- CreateIndex: messages that are due. The question whether there are any is asked all the time, and mostly there are none.
CREATE INDEX IF NOT EXISTS "outbox_messages_due_idx" ON "outbox_messages"("next_attempt_at") WHERE "sent_at" IS NULL AND "gave_up_at" IS NULL;

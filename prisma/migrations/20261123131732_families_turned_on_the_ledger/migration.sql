-- AlterTable
ALTER TABLE "sessions" ADD COLUMN     "clean" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "credits" INTEGER NOT NULL DEFAULT 5,
ADD COLUMN     "reissues" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "turned_to" INTEGER;

-- CreateIndex
CREATE INDEX "sessions_tombstoned_at_ended_at_idx" ON "sessions"("tombstoned_at", "ended_at");

-- CreateIndex
CREATE INDEX "sessions_turned_to_idx" ON "sessions"("turned_to");

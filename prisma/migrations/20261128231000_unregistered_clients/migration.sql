-- AlterTable
ALTER TABLE "resources" ADD COLUMN     "open_scopes" TEXT[] DEFAULT ARRAY[]::TEXT[];

-- CreateTable
CREATE TABLE "blocked_clients" (
    "hash" BYTEA NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "blocked_clients_pkey" PRIMARY KEY ("hash")
);

-- AlterTable
ALTER TABLE "audit_events" ADD COLUMN     "resource" TEXT;

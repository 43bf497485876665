-- AlterTable
ALTER TABLE "resources" ADD COLUMN     "app_scopes" TEXT[] DEFAULT ARRAY[]::TEXT[];

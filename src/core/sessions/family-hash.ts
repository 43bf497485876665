// A family's hash is base64url text in code and in Redis, and bytes in Postgres.

export const bytes = (familyHash: string) => new Uint8Array(Buffer.from(familyHash, 'base64url'))

export const text = (hash: Uint8Array) => Buffer.from(hash).toString('base64url')

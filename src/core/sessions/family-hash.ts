// A family's hash is base64url text in code and in Redis, and bytes in Postgres (in JSON as its hexadecimal input).

export const bytes = (familyHash: string) => new Uint8Array(Buffer.from(familyHash, 'base64url'))

export const text = (hash: Uint8Array) => Buffer.from(hash).toString('base64url')

export const hex = (familyHash: string) => `\\x${Buffer.from(familyHash, 'base64url').toString('hex')}`

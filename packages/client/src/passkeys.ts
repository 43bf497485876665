import { ClientError } from './client-error.ts'

/** The credential of a ceremony as JSON. @throws {ClientError} `passkey_not_used` if the person or the browser declined. */
async function answer(ask: () => Promise<Credential | null>): Promise<Record<string, unknown>> {
  try {
    const credential = (await ask()) as PublicKeyCredential | null
    if (credential) return credential.toJSON() as unknown as Record<string, unknown>
  } catch (cause) {
    throw new ClientError('passkey_not_used', { cause })
  }
  throw new ClientError('passkey_not_used')
}

// biome-ignore lint/suspicious/noExplicitAny: what the server sends for a browser that reads it itself
type Options = any

export const usePasskey = (options: Options) =>
  answer(() =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
  )

export const createPasskey = (options: Options) =>
  answer(() =>
    navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
  )

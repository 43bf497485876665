import { ClientError } from './client-error.ts'
import type { Schemas } from './schemas.ts'

/** The credential of a ceremony as JSON. @throws {ClientError} `passkey_not_used` if the person or the browser declined. */
async function answer(
  ask: () => Promise<Credential | null>,
): Promise<ReturnType<PublicKeyCredential['toJSON']>> {
  try {
    const credential = (await ask()) as PublicKeyCredential | null
    if (credential) return credential.toJSON()
  } catch (cause) {
    throw new ClientError('passkey_not_used', { cause })
  }
  throw new ClientError('passkey_not_used')
}

export const usePasskey = (options: Schemas['PasskeyChallenge']['options']) =>
  answer(() =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
  )

export const createPasskey = (options: Schemas['PasskeyCreation']['options']) =>
  answer(() =>
    navigator.credentials.create({
      publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(
        options as PublicKeyCredentialCreationOptionsJSON,
      ),
    }),
  )

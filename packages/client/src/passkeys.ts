import { ClientError } from './client-error.ts'
import type { Schemas } from './schemas.ts'

type Answer = Schemas['PasskeyAnswer']

/** @throws {ClientError} `passkey_not_used` if the person or the browser declined. */
async function answer<Options>(
  { challenge_token, options }: { challenge_token: string; options: Options },
  ask: (options: Options) => Promise<Credential | null>,
): Promise<Answer> {
  try {
    // A browser that has none answers null, which has no `toJSON`.
    const credential = ((await ask(options)) as PublicKeyCredential).toJSON()
    return { challenge_token, credential: credential as Answer['credential'] }
  } catch (cause) {
    throw new ClientError('passkey_not_used', { cause })
  }
}

export const usePasskey = (challenge: Schemas['PasskeyChallenge']) =>
  answer(challenge, (options) =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
  )

export const createPasskey = (creation: Schemas['PasskeyCreation']) =>
  answer(creation, (options) =>
    navigator.credentials.create({
      publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(
        options as PublicKeyCredentialCreationOptionsJSON,
      ),
    }),
  )

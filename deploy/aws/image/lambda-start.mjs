// Starts the server on Lambda, which cannot put the value of a secret into the environment of a function.
// VALUES_FROM_SECRETS is JSON: the names of variables, and the ARNs of the secrets that have their values.
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'

const client = new SecretsManagerClient({})
await Promise.all(
  Object.entries(JSON.parse(process.env.VALUES_FROM_SECRETS ?? '{}')).map(async ([name, SecretId]) => {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId }))
    process.env[name] = SecretString
  }),
)
client.destroy()
await import('../dist/server.js')

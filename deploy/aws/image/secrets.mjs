// Prints secrets of Secrets Manager as SECRETS_COMMAND of the server takes them: `node aws/secrets.mjs NAME=ARN …`, where
// NAME is a variable whose value is the whole secret. Its credentials are those of the role of the node.
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'

// Milliseconds: a fault is said, not waited for.
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 4_000 }

async function readSecret(argument) {
  const [name, SecretId] = argument.split(/=(.*)/)
  // Not every service of AWS says in which region it runs.
  const region = SecretId.split(':')[3]
  const client = new SecretsManagerClient({ requestHandler, ...(region ? { region } : {}) })
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId }))
    return [name, SecretString]
  } catch (error) {
    throw new Error(`${name}: ${error.name}: ${error.message}`, { cause: error })
  } finally {
    client.destroy()
  }
}

try {
  const values = await Promise.all(process.argv.slice(2).map(readSecret))
  process.stdout.write(JSON.stringify(Object.fromEntries(values)))
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}

import type { Reader } from './environment.ts'

/** Reads `APP_SECRETS`, newest first. No fault shows a secret. */
export function readAppSecrets(read: Reader, production: boolean): string[] {
  const secrets = read.list('APP_SECRETS')
  if (secrets.length === 0) read.fault('APP_SECRETS is missing')
  if (secrets.some((secret) => Buffer.byteLength(secret) < 32)) {
    read.fault('APP_SECRETS: each secret needs 32 bytes or more')
  }
  if (new Set(secrets).size !== secrets.length) read.fault('APP_SECRETS: a secret is listed twice')
  if (production && secrets.some(isPattern)) {
    read.fault('APP_SECRETS: a secret is a pattern and not random; make one with `openssl rand -base64 48`')
  }
  return secrets
}

/**
 * Whether a text is so regular that nobody can have drawn it at random: it repeats itself, has fewer than six different
 * characters, or mostly counts up or down. For a random text of 32 characters each has a chance below one in a million.
 */
function isPattern(text: string): boolean {
  return isRepetition(text) || new Set(text).size < 6 || isSequence(text)
}

/** `aaaa`, `abcabcab`: the text continues its own beginning, which is at most half of it. */
function isRepetition(text: string): boolean {
  for (let period = 1; period <= text.length / 2; period += 1) {
    if (text.startsWith(text.slice(period))) return true
  }
  return false
}

/** `abcdefgh…`, `0123456789…`, `aabbccdd…` */
function isSequence(text: string): boolean {
  let near = 0
  for (let index = 1; index < text.length; index += 1) {
    if (Math.abs(text.charCodeAt(index) - text.charCodeAt(index - 1)) <= 1) near += 1
  }
  return near >= 0.75 * (text.length - 1)
}

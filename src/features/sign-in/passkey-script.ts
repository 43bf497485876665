/**
 * Shows the button of a page with which people use a passkey, and sends the answer as the form around it. Without it, or
 * in a browser that knows no passkeys, the button stays hidden. Where an address is asked for, the browser also offers
 * its passkeys among the addresses that it fills in.
 */
export const PASSKEY_SCRIPT = `
(() => {
  const offer = document.getElementById('passkey')
  const kind = window.PublicKeyCredential
  if (!offer || !kind || !kind.parseRequestOptionsFromJSON || !kind.prototype.toJSON) return
  const form = offer.querySelector('form')
  const button = offer.querySelector('button')
  const fault = offer.querySelector('[role=alert]')
  const ticket = form.elements.mfa_token
  const RENEW_MS = 240000
  let waiting = new AbortController()

  async function challenge() {
    const response = await fetch('/auth/login/passkey/options', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(ticket ? { mfa_token: ticket.value } : {}),
    })
    if (!response.ok) throw new Error('no challenge')
    return response.json()
  }

  async function use(mediation) {
    waiting.abort()
    waiting = new AbortController()
    const { signal } = waiting
    const { challenge_token, options } = await challenge()
    if (offer.dataset.unknown && kind.signalUnknownCredential) {
      const unknown = { rpId: options.rpId, credentialId: offer.dataset.unknown }
      delete offer.dataset.unknown
      await kind.signalUnknownCredential(unknown).catch(() => {})
    }
    const publicKey = kind.parseRequestOptionsFromJSON(options)
    const credential = await navigator.credentials.get({ publicKey, mediation, signal })
    form.elements.passkey.value = JSON.stringify({ challenge_token, credential })
    form.submit()
  }

  async function offerAmongAddresses() {
    if (ticket || !kind.isConditionalMediationAvailable) return
    if (!(await kind.isConditionalMediationAvailable())) return
    const own = use('conditional')
    const mine = waiting
    // A challenge works for five minutes.
    setTimeout(() => { if (mine === waiting && !mine.signal.aborted) offerAmongAddresses() }, RENEW_MS)
    await own.catch(() => {})
  }

  button.addEventListener('click', async (event) => {
    event.preventDefault()
    button.disabled = true
    fault.hidden = true
    try {
      await use()
    } catch (error) {
      // A person who closes the browser's own window knows it.
      fault.hidden = error.name === 'NotAllowedError' || error.name === 'AbortError'
      offerAmongAddresses()
    } finally {
      button.disabled = false
    }
  })
  offer.hidden = false
  offerAmongAddresses()
})()
`

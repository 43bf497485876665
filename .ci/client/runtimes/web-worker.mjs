import { useSession } from './session.mjs'

self.onmessage = async ({ data }) => {
  self.postMessage(await useSession(data))
}

import type { Size } from '../size.ts'
import { callOwnApi, type People } from './own-api.ts'
import { callPages } from './pages.ts'
import { type Called, createRecorder } from './recorder.ts'
import { callThirdParties } from './third-parties.ts'

/** The server of the tour also has the routes that exist only with these settings. */
export const TOUR_ENVIRONMENT = {
  DYNAMIC_REGISTRATION: 'true',
  ALLOWED_ORIGINS: 'https://app.example.com',
  OAUTH_CONSENT_URL: 'https://app.example.com/allow',
}

/** Calls every route of a server once or more. @returns the calls. */
export async function callEveryRoute(size: Size, people: People): Promise<Called[]> {
  const recorder = createRecorder(size)
  await callOwnApi(recorder, people)
  await callPages(recorder)
  await callThirdParties(recorder, people.administrator)
  return recorder.called
}

/** The documented routes that no call matches. */
export async function routesWithout(size: Size, called: readonly Called[]): Promise<string[]> {
  const response = await fetch(`${size.app.url}/openapi.json`)
  const { paths } = (await response.json()) as { paths: Record<string, object> }
  return Object.entries(paths).flatMap(([path, methods]) => {
    const pattern = new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{[^}]+\}/g, '[^/]+')}$`)
    return Object.keys(methods)
      .map((method) => method.toUpperCase())
      .filter((method) => !called.some((call) => call.method === method && pattern.test(call.path)))
      .map((method) => `${method} ${path}`)
  })
}

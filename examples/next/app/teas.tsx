import { call } from '../lib/call.ts'
import { API_URL } from '../lib/ratchet.ts'

export async function Teas({ path }: { path: string }) {
  const { teas } = await call<{ teas: string[] }>(`${API_URL}/teas`, path)
  return (
    <section>
      <h2>Teas, from the API</h2>
      <ul>
        {teas.map((tea) => (
          <li key={tea}>{tea}</li>
        ))}
      </ul>
    </section>
  )
}

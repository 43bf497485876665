import { useAuthClient } from '@ratchet/client/react'
import { Notice, time, useAction, useAnswer } from './ui.tsx'

export function Grants() {
  const { listGrants, withdrawGrant } = useAuthClient()
  const { answer: grants, problem, reload } = useAnswer(listGrants)
  const withdrawing = useAction()
  return (
    <>
      {(problem ?? withdrawing.problem) && <Notice>{problem ?? withdrawing.problem}</Notice>}
      {grants?.length === 0 && <p className="quiet">No app of others may act for you.</p>}
      <ul className="cards">
        {grants?.map((grant) => (
          <li key={grant.client_id}>
            <div>
              <b>{grant.client_name ?? grant.client_id}</b>
              <p className="quiet">
                {grant.permissions.flatMap(({ scopes }) => scopes).join(', ')}, since {time(grant.created_at)}
              </p>
            </div>
            <button
              type="button"
              className="second"
              onClick={() => void withdrawing.run(() => withdrawGrant(grant.client_id).then(reload))}
            >
              Withdraw
            </button>
          </li>
        ))}
      </ul>
    </>
  )
}

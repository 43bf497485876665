import { Account } from './account.tsx'
import { SignOut } from './sign-out.tsx'
import { Teas } from './teas.tsx'

// Both parts are rendered at once, each with the access token that the proxy got.
export default function Page() {
  return (
    <>
      <h1>Tea House</h1>
      <Account />
      <Teas path="/" />
      <SignOut />
    </>
  )
}

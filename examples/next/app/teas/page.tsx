import Link from 'next/link'
import { Teas } from '../teas.tsx'

export default function Page() {
  return (
    <>
      <h1>Tea House</h1>
      <Teas path="/teas" />
      <Link href="/">Your account</Link>
    </>
  )
}

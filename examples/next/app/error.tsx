'use client'

/** The session goes on while the server is away. */
export default function Problem() {
  return (
    <>
      <h1>Tea House</h1>
      <p className="notice" role="alert">
        This page could not be made. You are still signed in.
      </p>
      <button type="button" onClick={() => location.reload()}>
        Try again
      </button>
    </>
  )
}

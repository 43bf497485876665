import { createProxy } from '@ratchet/client/next'
import { NextResponse } from 'next/server'
import { ratchet } from './lib/ratchet.ts'

// Before a page is rendered: a server component cannot set the cookie of a refresh.
export const proxy = createProxy(ratchet, NextResponse.next)

export const config = {
  // Pages only; the route handler keeps its own cookies.
  matcher: '/((?!api/|_next/static|_next/image|favicon.ico).*)',
}

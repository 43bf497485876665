// Stands in for `react-native`, which runs on a device only: what the sign-in uses of it.
const listeners = new Set<(state: string) => void>()

export const AppState = {
  addEventListener(_type: 'change', listener: (state: string) => void) {
    listeners.add(listener)
    return { remove: () => void listeners.delete(listener) }
  },
}

export function changeTo(state: 'active' | 'background'): void {
  for (const listener of listeners) listener(state)
}

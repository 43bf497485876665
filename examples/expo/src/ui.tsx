import { ClientError } from '@ratchet/client'
import { type ReactNode, useState } from 'react'
import { Pressable, Text, TextInput, type TextInputProps, useColorScheme, View } from 'react-native'

const LIGHT = {
  ground: '#faf8f4',
  card: '#fff',
  line: '#e3ded4',
  text: '#22201c',
  quiet: '#6b655a',
  accent: '#2f6f4f',
  onAccent: '#fff',
  warning: '#9a3412',
}
const DARK: typeof LIGHT = {
  ground: '#171614',
  card: '#211f1c',
  line: '#3a3732',
  text: '#f1ede5',
  quiet: '#a8a195',
  accent: '#7cc49e',
  onAccent: '#10261b',
  warning: '#fdba74',
}

export const useColors = () => (useColorScheme() === 'dark' ? DARK : LIGHT)

interface Props {
  children: ReactNode
}

export const Title = ({ children }: Props) => (
  <Text role="heading" style={{ fontSize: 24, fontWeight: '700', color: useColors().text }}>
    {children}
  </Text>
)

export const Strong = ({ children }: Props) => (
  <Text style={{ fontSize: 16, fontWeight: '600', color: useColors().text }}>{children}</Text>
)

export const Quiet = ({ children }: Props) => (
  <Text style={{ fontSize: 14, color: useColors().quiet }}>{children}</Text>
)

export function Notice({ children }: Props) {
  const { card, warning, text } = useColors()
  return (
    <View
      role="alert"
      style={{ backgroundColor: card, borderLeftWidth: 3, borderColor: warning, padding: 12 }}
    >
      <Text style={{ color: text }}>{children}</Text>
    </View>
  )
}

export function Card({ children }: Props) {
  const { card, line } = useColors()
  return (
    <View
      style={{
        backgroundColor: card,
        borderColor: line,
        borderWidth: 1,
        borderRadius: 12,
        padding: 16,
        gap: 8,
      }}
    >
      {children}
    </View>
  )
}

export function Field({ label, ...input }: { label: string } & TextInputProps) {
  const { card, line, text } = useColors()
  return (
    <View style={{ gap: 4 }}>
      <Quiet>{label}</Quiet>
      <TextInput
        {...input}
        accessibilityLabel={label}
        style={{
          backgroundColor: card,
          borderColor: line,
          borderWidth: 1,
          borderRadius: 8,
          padding: 12,
          fontSize: 16,
          color: text,
        }}
      />
    </View>
  )
}

interface ButtonProps {
  label: string
  isBusy: boolean
  onPress: () => void
}

export function Button({ label, isBusy, onPress }: ButtonProps) {
  const { accent, onAccent } = useColors()
  return (
    <Pressable
      role="button"
      disabled={isBusy}
      onPress={onPress}
      style={{ backgroundColor: accent, borderRadius: 8, padding: 12, opacity: isBusy ? 0.6 : 1 }}
    >
      <Text style={{ color: onAccent, fontSize: 16, textAlign: 'center' }}>{label}</Text>
    </Pressable>
  )
}

const WORDS: Record<string, string> = {
  offline: 'The server cannot be reached. Check the connection and try again.',
  bad_response: 'Something between you and the server answered for it.',
  invalid_credentials: 'The e-mail address or the password is wrong.',
  mfa_invalid: 'This code is wrong or was used before.',
  too_many_attempts: 'Too many attempts. Wait a little and try again.',
}

/** What went wrong, in words, and an action that tells it. */
export function useAction() {
  const [problem, setProblem] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  function run(action: () => Promise<unknown>): void {
    setProblem(undefined)
    setBusy(true)
    action()
      .catch((error) =>
        setProblem(error instanceof ClientError ? (WORDS[error.code] ?? error.message) : String(error)),
      )
      .finally(() => setBusy(false))
  }
  return { problem, isBusy, run }
}

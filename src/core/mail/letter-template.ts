/** A mail before it is filled in. Texts are Mustache templates. */
export interface LetterTemplate {
  subject: string
  heading: string
  blocks: readonly Block[]
  /** Every text of it. */
  texts: readonly string[]
}

type Block =
  | { kind: 'paragraph' | 'note'; text: string }
  | { kind: 'facts' }
  /** `variable` names the link. */
  | { kind: 'button'; variable: string; label: string }
  /** A button for each registration, below its facts. */
  | { kind: 'choices'; label: string }

/**
 * Reads a text: the lines `Subject:` and `Heading:`, then blocks with an empty line between them. A block is a paragraph,
 * or begins with `[note]`, `[facts]`, `[button <variable>]` or `[choices]`.
 * @throws {Error} that explains the fault to the operator.
 */
export function parseLetter(text: string): LetterTemplate {
  const [head = '', ...rest] = text
    .replace(/\r\n?/g, '\n')
    .trim()
    .split(/\n\s*\n/)
  const field = (name: string) =>
    new RegExp(`^${name}: *(.+)$`, 'm').exec(head)?.[1]?.trim() ??
    fail(`it has to begin with the lines "Subject: …" and "Heading: …"`)
  const letter = { subject: field('Subject'), heading: field('Heading'), blocks: rest.map(readBlock) }
  const texts = letter.blocks.flatMap((block) => {
    if (block.kind === 'facts') return []
    if (block.kind === 'button') return [block.label, `{{${block.variable}}}`]
    return block.kind === 'choices' ? [block.label] : [block.text]
  })
  return { ...letter, texts: [letter.subject, letter.heading, ...texts] }
}

function readBlock(block: string): Block {
  const [, mark, variable, text = ''] = /^\[(\w+)(?: +(\w+))?\] *(.*)$/s.exec(block.trim()) ?? []
  if (mark === undefined) return { kind: 'paragraph', text: block }
  if (mark === 'note' && text) return { kind: 'note', text }
  if (mark === 'facts' && !text) return { kind: 'facts' }
  if (mark === 'button' && variable && text) return { kind: 'button', variable, label: text }
  if (mark === 'choices' && text) return { kind: 'choices', label: text }
  return fail(`a block cannot begin with "${block.trim().split('\n')[0]?.slice(0, 40)}"`)
}

function fail(fault: string): never {
  throw new Error(fault)
}

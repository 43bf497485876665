export const FIRST_NAMES = `
  Ada Alan Amina Anna Barbara Carlos Chen Clara David Edsger Elena Emeka Fatima Grace Hans Hedy Hiro
  Ines Ivan Jamal John Katherine Kofi Lars Leila Lin Maria Mehmet Mina Noor Olga Paulo Priya Rosa Samuel
  Sofia Thomas Wei Yuki Zofia`
  .trim()
  .split(/\s+/)

export const LAST_NAMES = `
  Abara Almeida Andersson Bauer Becker Costa Dijkstra Diallo Eriksen Fernandez Fischer Garcia Haddad
  Hopper Hughes Ibrahim Ivanova Jansen Johnson Kaya Kim Kowalski Kumar Lamarr Lopez Lovelace Mensah
  Meyer Moreau Nakamura Nguyen Novak Okafor Oliveira Patel Petrov Rossi Santos Schmidt Silva Singh Smith
  Suzuki Tanaka Turing Usman Wang Weber Yilmaz Zhang`
  .trim()
  .split(/\s+/)

export const USER_AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'ExampleApp/5.2.1 (iOS 18.5; iPhone16,2)',
]

// What the first boot needs of the board it runs on.
import type { Command, NetworkSystem, SystemFile } from './network.ts'

export interface Enrolment {
  readonly console: string
  readonly token: string
  readonly name?: string
}

/** `later`: the console or the network is away. */
export type Enrolled =
  | { readonly outcome: 'done'; readonly says: string }
  | { readonly outcome: 'refused' | 'later'; readonly says: string }

export interface Board {
  readEnrolment(): string
  /** Over the old bytes, down to the card. What kept it from that, as on a partition that is read-only. */
  overwriteEnrolment(text: string): string | undefined
  /** bramble-status.txt beside it. */
  writeStatus(text: string): void
  /** Undefined: there is none that we know. */
  networkSystem(): NetworkSystem | undefined
  /** By its absolute path; undefined: there is none. */
  readFile(path: string): string | undefined
  /** False: it was there already, word by word. */
  writeFile(file: SystemFile): boolean
  /** What it said, when it failed. */
  run(command: Command): Promise<string | undefined>
  enrol(enrolment: Enrolment): Promise<Enrolled>
}

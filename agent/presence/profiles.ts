// What a busy core draws on boards that cannot measure it themselves. The idle draw is left out: it is paid with or without work.

interface Profile {
  /** Matches the board's name, or its processor's where that tells more. */
  readonly is: RegExp
  /** Watts that one fully used core adds. */
  readonly wattsPerCpu: number
}

/** (All cores busy − idle) / cores, at the plug or the USB supply, so losses of the supply are in it. */
const PROFILES: readonly Profile[] = [
  // github.com/geerlingguy/sbc-reviews, web/data/results.yml: idle 2.8 W, stress 9.7 W, 4 cores (CM5: 2.4 and 8.5 W).
  { is: /Raspberry Pi (5|500|Compute Module 5)\b/, wattsPerCpu: 1.7 },
  // The same: idle 1.6 W, stress 5.0 W (CM4: 2.5 and 4.6 W; pidramble.com: 2.7 and 6.4 W).
  { is: /Raspberry Pi (4|400|Compute Module 4)\b/, wattsPerCpu: 0.85 },
  // The same: idle 3.1 W, stress 5.6 W.
  { is: /Raspberry Pi 3 Model (A|B) Plus/, wattsPerCpu: 0.63 },
  // pidramble.com: idle 1.4 W, 400 % CPU 3.7 W.
  { is: /Raspberry Pi (3|Compute Module 3)\b/, wattsPerCpu: 0.58 },
  // The same chip on the Compute Module 0, sbc-reviews issue 98: idle 1.2 W, stress 3.7 W.
  { is: /Raspberry Pi (Zero 2|Compute Module 0)\b/, wattsPerCpu: 0.63 },
  // Only where the INA3221 is not there. forums.developer.nvidia.com topic 323456: 15.2 W on the CPU rail of an AGX Orin, 12 cores.
  { is: /Jetson.*Orin/, wattsPerCpu: 1.2 },
  // Intel N95 to N150, 4 cores, sbc-reviews issues 42, 48 and 64: 4.2, 2.4 and 3.9 W a core.
  { is: /Intel.*\bN(95|97|100|150)\b/, wattsPerCpu: 3.5 },
]

/** Undefined for a board nobody has measured: no estimate is better than a wrong one. */
export const wattsPerCpuOf = (...names: readonly (string | undefined)[]): number | undefined =>
  PROFILES.find(({ is }) => names.some((name) => name !== undefined && is.test(name)))?.wattsPerCpu

// Which execution providers are tried for a model, and why a wanted one is not. Pure: ONNX Runtime itself drops a provider that
// its build does not have without a word, and then runs on the CPU as if nothing had been asked.

export const PROVIDERS = ['tensorrt', 'cuda', 'cpu'] as const
export type ProviderName = (typeof PROVIDERS)[number]

export interface ProviderChain {
  /** In order; the CPU is always the last. */
  readonly tries: readonly ProviderName[]
  /** One sentence per provider that cannot even be tried, wanted or for the GPU that the board shows, after the one that may explain all. */
  readonly missing: readonly string[]
}

/** Without a wish: what is installed. TensorRT builds engines for minutes, so it is never chosen without being asked for. */
const UNASKED: readonly ProviderName[] = ['cuda', 'cpu']

export function chainProviders(
  wanted: readonly ProviderName[] | undefined,
  listed: ReadonlySet<string>,
  hasLibrary: (provider: ProviderName) => boolean,
  /** `gpu`: what shows that the board has one. `passedOver`: why another build, which may have them, is not used. */
  { gpu, passedOver }: { readonly gpu?: string | undefined; readonly passedOver?: string | undefined } = {},
): ProviderChain {
  const fault = (provider: ProviderName): string | undefined => {
    if (provider === 'cpu') return undefined
    if (!listed.has(provider)) return `${provider}: this build of ONNX Runtime does not have it`
    return hasLibrary(provider)
      ? undefined
      : `${provider}: its library libonnxruntime_providers_${provider}.so is not installed`
  }
  const asked = (wanted ?? UNASKED).filter((provider) => provider !== 'cpu')
  const tries: ProviderName[] = [...asked.filter((provider) => fault(provider) === undefined), 'cpu']
  const faults = asked.map(fault).filter((reason) => reason !== undefined)
  const missing = wanted
    ? faults
    : faults.flatMap((reason) => (gpu === undefined ? [] : [`${reason} (and ${gpu} is here)`]))
  return { tries, missing: missing.length > 0 && passedOver !== undefined ? [passedOver, ...missing] : missing }
}

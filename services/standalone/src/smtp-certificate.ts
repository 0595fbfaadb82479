/** The certificate of the SMTP doors: the one of the settings, or one that is made at the first start and kept. */
import type { Config } from './config.ts';
import type { Home } from './home.ts';

export async function withCertificate(config: Config, home: Home, progress: (text: string) => void): Promise<Config> {
  // One without the other is the gateway's to refuse.
  if (config.smtpTlsCert !== undefined || config.smtpTlsKey !== undefined) return config;
  const { cert, key, isNew } = await home.smtpCertificate(config.smtpHostname);
  if (isNew)
    progress(
      `made a self-signed certificate for SMTP, ${cert}: clients have to be told to trust it (or set SMTP_TLS_CERT and SMTP_TLS_KEY)`,
    );
  return { ...config, smtpTlsCert: cert, smtpTlsKey: key };
}

/* Asks WinVerifyTrust about files: winverify ROOT.der FILE...; prints its answer (0 is trust) and the name, a line
 * each. Built with mingw-w64 and run under wine by scripts/setup.sh and the tests; nothing of it is in the product. */
#include <windows.h>
#include <wincrypt.h>
#include <wintrust.h>
#include <softpub.h>
#include <stdio.h>

static int trust(const wchar_t *root)
{
    static BYTE der[65536];
    DWORD size = 0;
    HANDLE file = CreateFileW(root, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    HCERTSTORE store =
        CertOpenStore(CERT_STORE_PROV_SYSTEM_W, 0, 0, CERT_SYSTEM_STORE_CURRENT_USER, L"Root");
    if (file == INVALID_HANDLE_VALUE || !ReadFile(file, der, sizeof der, &size, NULL) || !store)
        return 0;
    CloseHandle(file);
    if (!CertAddEncodedCertificateToStore(store, X509_ASN_ENCODING, der, size, CERT_STORE_ADD_REPLACE_EXISTING, NULL))
        return 0;
    return CertCloseStore(store, 0);
}

static LONG ask(const wchar_t *name)
{
    GUID action = WINTRUST_ACTION_GENERIC_VERIFY_V2;
    WINTRUST_FILE_INFO file = { .cbStruct = sizeof file, .pcwszFilePath = name };
    WINTRUST_DATA data = { .cbStruct = sizeof data };
    LONG answer;
    data.dwUIChoice = WTD_UI_NONE;
    data.fdwRevocationChecks = WTD_REVOKE_NONE;
    data.dwUnionChoice = WTD_CHOICE_FILE;
    data.pFile = &file;
    data.dwStateAction = WTD_STATEACTION_VERIFY;
    answer = WinVerifyTrust(NULL, &action, &data);
    data.dwStateAction = WTD_STATEACTION_CLOSE;
    WinVerifyTrust(NULL, &action, &data);
    return answer;
}

int wmain(int argc, wchar_t **argv)
{
    if (argc < 3 || !trust(argv[1])) {
        fprintf(stderr, "winverify: no root, or it cannot be trusted: error %lu\n", GetLastError());
        return 2;
    }
    for (int at = 2; at < argc; at++)
        printf("%08lx %ls\n", (unsigned long)ask(argv[at]), argv[at]);
    return 0;
}

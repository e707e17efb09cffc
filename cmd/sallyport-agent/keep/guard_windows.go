package keep

import "golang.org/x/sys/windows"

// guarded is what the directory of an agent with an administrator's rights is: the system's and
// the administrators', and whatever is made in it. Modes mean nothing here, and everybody may
// read, and make files in, a directory that is made below ProgramData.
const guarded = "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

// guard gives the directory to the administrators. An agent without their rights has what its
// user has.
func guard(path string) error {
	if !windows.GetCurrentProcessToken().IsElevated() {
		return nil
	}
	d, err := windows.SecurityDescriptorFromString(guarded)
	if err != nil {
		return err
	}
	owner, _, err := d.Owner()
	if err != nil {
		return err
	}
	list, _, err := d.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, owner, nil, list, nil)
}

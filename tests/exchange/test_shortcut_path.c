#include "exchange/shortcut.h"
int main(void)
{
	return 0;
}
